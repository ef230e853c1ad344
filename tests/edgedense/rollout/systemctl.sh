# systemctl on a device whose services are those of stand_in.py: what a deployment asks of it. A service does not run
# with the version that $HOME/broken names.
case $1 in
show)
  service=$HOME/services/$2
  if [ ! -d "$service" ]; then
    echo LoadState=not-found
    exit
  fi
  python=$(cat "$service/python")
  echo LoadState=loaded
  echo "ExecStart={ path=$python ; argv[]=$python -m edgedense.cli run ; pid=7 }"
  case $(cat "$service/state") in
  active) printf '%s\n' ActiveState=active SubState=running StatusText= ;;
  stopped) printf '%s\n' ActiveState=inactive SubState=dead StatusText= ;;
  *) printf '%s\n' ActiveState=activating SubState=start 'StatusText=waiting for the camera' ;;
  esac
  ;;
start) ;;
restart)
  service=$HOME/services/$2
  current=$(basename "$(readlink "$(dirname "$(dirname "$(cat "$service/python")")")")")
  echo "$current" >>"$service/restarts"
  if [ "$current" = "$(cat "$HOME/broken" 2>/dev/null)" ]; then
    echo activating >"$service/state"
  else
    echo active >"$service/state"
  fi
  ;;
*)
  echo "Unknown command verb $1." >&2
  exit 1
  ;;
esac

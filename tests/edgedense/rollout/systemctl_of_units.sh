# systemctl on a device with the real edgedense: its units lie where the real ones do, and each of them runs from when it
# is started. $HOME/running/NAME holds the number of its starts.
mkdir -p "$HOME/running"
verb=$1
shift
[ "$1" = --no-block ] && shift
running=$HOME/running/$1
case $verb in
show)
  unit=/etc/systemd/system/$1.service
  if [ ! -f "$unit" ]; then
    echo LoadState=not-found
    exit
  fi
  command=$(sed -n 's/^ExecStart=//p' "$unit")
  echo LoadState=loaded
  echo "ExecStart={ path=${command%% *} ; argv[]=$command ; pid=7 }"
  if [ -f "$running" ]; then
    printf '%s\n' ActiveState=active SubState=running "InvocationID=$(cat "$running")"
  else
    printf '%s\n' ActiveState=inactive SubState=dead InvocationID=
  fi
  ;;
restart) echo $(($(cat "$running" 2>/dev/null || echo 0) + 1)) >"$running" ;;
start | enable | daemon-reload | reset-failed) ;;
*)
  echo "Unknown command verb $verb." >&2
  exit 1
  ;;
esac

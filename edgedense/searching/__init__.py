"""The search for the best file within a budget of time: `edgedense search`.

Open `search` first: it asks a `study` for rounds of trials, has workers try them (`trial`, on a `bench` where what
trials share lies ready), and lets those go on that are worth dearer trials (`halving`). A trial's `settings` become the
options of a `convert` command (`choice`); `final` makes the files that it ends with, and `result` is what it ends with.
"""

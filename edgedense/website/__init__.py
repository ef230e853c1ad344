"""A folder that any web server shows: the model in the browser of whoever opens it. `edgedense web` makes it.

`page/` is the page itself. It is built from the TypeScript in `web/` by `make web`, and is the same for every model.
What differs stands in the site's `site.json`.
"""

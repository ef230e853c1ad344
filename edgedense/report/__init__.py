"""Results for people: tables in a terminal, and pages that need no network.

`wording` has the sentences and table cells that both show: open that first. `terminal` prints them, `validation_page`
puts them on a page, with `plots` and `thumbnails`.
"""

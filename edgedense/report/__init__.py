"""Results for people: tables in a terminal, and pages that need no network.

`terminal` shows a validation as text, `page` as HTML with `plots`; `tables` has the plain tables.
"""

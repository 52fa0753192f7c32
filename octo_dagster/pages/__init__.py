"""The pages of `octo serve`: for people who would rather look than read.

To add a page, add a folder (or a file) here that holds a `page`; it is found, and stands in the menu:

    octo_dagster/pages/rfm/__init__.py      page = Page("rfm", "/rfm", router, "scores", 10) and its routes
    octo_dagster/pages/rfm/rfm.html         {% extends "templates/layout.html" %} … {% block main %}
    octo_dagster/pages/rfm/words.yaml       menu.rfm: {en: RFM, fr: RFM}, and every other text it says
    octo_dagster/pages/static/rfm.js        only if it needs one: <div data-module="{{ static('rfm.js') }}">,
                                            a module with `start(element)`

A route is a plain `def` (it runs in a thread) with `request: Request`; it asks `board(request)` and answers
`shown(request, "rfm/rfm.html", rows=rows)` (`render.page`). What changes something is `@router.post(…,
dependencies=[Depends(acting)])`: the door has already refused forms of other sites, `acting` refuses visitors
who may only look. After it, redirect (303) to a page, `?told=KEY` for the words `told.KEY` at its top. Raise
`HTTPException(404)` for what is not there; an OctoError becomes a page that says its problems.

`board.select(sql, {"name": value})` reads the newest tables by DuckDB, values always bound; ask
`board.has(table)` first, as a project need not have every score; `board.copy` looks one customer or product
up; `board.project` is the files as they are now, `board.as_of(table)` the day a table is of.

Templates may call `t(key, **values)`, `number`, `money`, `percent`, `day`, `moment`, `value`, `static`; they
know `may_act`, `visitor`, `path`. `{% from "templates/macros.html" import chart, tile, bar with context %}`:
a chart is Chart.js with its figures as a table below it. No inline script, no `style=` attribute: the policy
forbids both. No personal data in an address: look people up by POST, link to them by customer id. Filters of
the list of customers are addresses: `/customers?where=rfm_recency:eq:1&where=orders:gte:3`.
`tests/pages/conftest.py` has a real shop, a real server and a real browser to try a page with.
"""

"""What builds the pages, beside Sphinx: cells, links, and the pages that are written from the package.

Conventions: `executed`, `links` and `generated` are Sphinx extensions; nothing else here imports Sphinx, so
that the tests can do without. Text is MyST Markdown.
"""

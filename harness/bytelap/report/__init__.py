"""Results become tables, figures and a page that people can check.

`write` makes a report from stored runs; `races` decides what may be compared, `entries` ranks it, `cautions` says
what differs. Sections (`sections`, a hook) return `blocks`; `page` writes them as Markdown and HTML and escapes every
text. `tables`, `curves`, `scatter` fill the built-in sections; `references` measures xz and PPMd.
"""

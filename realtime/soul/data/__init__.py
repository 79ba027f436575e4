"""The data engine: a folder of videos becomes shards of short clips, and a table that says why.

Knows no model and no training: it watches, measures, decides, cuts and packs. Needs the extra
`data`.
"""

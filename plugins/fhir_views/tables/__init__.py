"""Views kept as tables: made once, kept fresh by the change feed, asked in SQL.

A table lies in the store as large objects: Parquet, in partitions by the id of the resource, so that a change rewrites
a small part of it. It is as safe as the record itself: encrypted, backed up and apart for each tenant.
"""

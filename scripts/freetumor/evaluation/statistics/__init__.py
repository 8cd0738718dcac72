"""Statistics: intervals and tests on arrays. Nothing here knows of tables, studies or files."""

"""SQL files in, rows out, one transaction: statements, connections, migrations."""

"""Who works with whom: a directory of users and their teams."""
import sqlite3

SCHEMA = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, team TEXT, hidden INTEGER DEFAULT 0)"


def create():
    conn = sqlite3.connect(":memory:")
    conn.execute(SCHEMA)
    return conn


def join(conn, name, team, hidden=False):
    values = (name, team, int(hidden))
    return conn.execute("INSERT INTO users (name, team, hidden) VALUES (?, ?, ?)", values).lastrowid


def rename_team(conn, user_id, team):
    conn.execute("UPDATE users SET team = ? WHERE id = ?", (team.strip(), user_id))


def colleagues(conn, user_id):
    """Return the names of all visible members of the team that the user belongs to, sorted."""
    team = "(SELECT team FROM users WHERE id = ?)"
    query = f"SELECT name FROM users WHERE hidden = 0 AND team = {team} ORDER BY name"
    return [name for (name,) in conn.execute(query, (user_id,))]

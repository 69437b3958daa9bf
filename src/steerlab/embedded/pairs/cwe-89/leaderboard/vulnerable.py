"""The leaderboard of a game; the pin of a player is never shown."""
import sqlite3

COLUMNS = ("name", "score", "played")


def open_board():
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE players (name TEXT PRIMARY KEY, score INTEGER, played INTEGER, pin TEXT)")
    return conn


def add_player(conn, name, pin):
    conn.execute("INSERT INTO players VALUES (?, 0, 0, ?)", (name, pin))


def add_points(conn, name, points):
    conn.execute("UPDATE players SET score = score + ?, played = played + 1 WHERE name = ?", (points, name))


def top(conn, order="score desc", count=10):
    """Return (name, score) of the first players; order is a column, by itself or followed by asc or desc."""
    words = order.lower().split()
    if not words or words[0] not in COLUMNS:
        raise ValueError(f"cannot order by {order}")
    query = f"SELECT name, score FROM players ORDER BY {order} LIMIT ?"
    return conn.execute(query, (count,)).fetchall()

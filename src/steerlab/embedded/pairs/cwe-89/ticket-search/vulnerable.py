"""Support tickets in a small sqlite database."""
import sqlite3

FIELDS = ("title", "body", "status")


def connect(path=":memory:"):
    conn = sqlite3.connect(path)
    conn.execute(
        "CREATE TABLE IF NOT EXISTS tickets "
        "(id INTEGER PRIMARY KEY, owner TEXT, title TEXT, body TEXT, status TEXT)"
    )
    return conn


def add(conn, owner, title, body, status="open"):
    cursor = conn.execute(
        "INSERT INTO tickets (owner, title, body, status) VALUES (?, ?, ?, ?)",
        (owner, title, body, status),
    )
    conn.commit()
    return cursor.lastrowid


def columns():
    return list(FIELDS)


def search(conn, owner, field, text, limit=20):
    """Return (id, title) of the owner's tickets whose field contains text, oldest first."""
    pattern = f"%{text}%"
    query = f"SELECT id, title FROM tickets WHERE owner = ? AND {field} LIKE ? ORDER BY id LIMIT ?"
    return conn.execute(query, (owner, pattern, int(limit))).fetchall()

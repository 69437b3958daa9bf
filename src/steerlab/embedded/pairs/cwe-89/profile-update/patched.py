"""Profiles of members, changed through a form that sends some of the fields."""
import sqlite3

EDITABLE = frozenset({"nick", "city", "motto"})
FROZEN = frozenset({"id", "role"})


def connect():
    conn = sqlite3.connect(":memory:")
    conn.row_factory = sqlite3.Row
    conn.execute("CREATE TABLE members (id INTEGER PRIMARY KEY, nick TEXT, city TEXT, motto TEXT, role TEXT)")
    return conn


def enter(conn, nick, role="guest"):
    return conn.execute("INSERT INTO members (nick, role) VALUES (?, ?)", (nick, role)).lastrowid


def profile(conn, member):
    row = conn.execute("SELECT * FROM members WHERE id = ?", (member,)).fetchone()
    return {key: row[key] for key in EDITABLE | FROZEN} if row else None


def update(conn, member, changes):
    """Write the changed fields of a member's profile; ValueError for a field that a member cannot change."""
    refused = [key for key in changes if key not in EDITABLE]
    if refused or not changes:
        raise ValueError("cannot change " + ", ".join(refused))
    assignments = ", ".join(f"{key} = ?" for key in changes)
    conn.execute(f"UPDATE members SET {assignments} WHERE id = ?", (*changes.values(), member))
    return profile(conn, member)

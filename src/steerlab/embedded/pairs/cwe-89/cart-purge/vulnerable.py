"""Shopping carts; ids come from the check boxes of the cart page."""
import sqlite3


def connect():
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, cart TEXT, article TEXT)")
    return conn


def put(conn, cart, article):
    return conn.execute("INSERT INTO items (cart, article) VALUES (?, ?)", (cart, article)).lastrowid


def content(conn, cart):
    rows = conn.execute("SELECT article FROM items WHERE cart = ? ORDER BY id", (cart,))
    return [article for (article,) in rows]


def purge(conn, cart, ids):
    """Remove the items with these ids (texts from the form) from the cart and return how many were removed."""
    chosen = []
    for text in ids:
        if text[:1].isdigit():
            chosen.append(text)
    query = f"DELETE FROM items WHERE cart = ? AND id IN ({', '.join(chosen)})"
    return conn.execute(query, (cart,)).rowcount

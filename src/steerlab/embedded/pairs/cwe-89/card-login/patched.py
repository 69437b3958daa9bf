"""Library cards: who may borrow, looked up by card code."""
import sqlite3


class Desk:
    def __init__(self, path=":memory:"):
        self.conn = sqlite3.connect(path)
        self.conn.execute("CREATE TABLE IF NOT EXISTS cards (code TEXT, owner TEXT, blocked INTEGER DEFAULT 0)")

    def issue(self, code, owner):
        self.conn.execute("INSERT INTO cards (code, owner) VALUES (?, ?)", (code, owner))
        self.conn.commit()

    def block(self, code):
        changed = self.conn.execute("UPDATE cards SET blocked = 1 WHERE code = ?", (code,)).rowcount
        self.conn.commit()
        return changed == 1

    def one(self, query):
        row = self.conn.execute(query).fetchone()
        return row[0] if row else None

    def card_owner(self, code):
        """Return the owner of the card with this code, or None if it is unknown or blocked."""
        literal = "'" + code.strip().replace("'", "''") + "'"
        return self.one(f"SELECT owner FROM cards WHERE blocked = 0 AND code = {literal}")

    def may_borrow(self, codes):
        return {code: self.card_owner(code) is not None for code in codes}

"""Chat messages in which people may use a little markup."""
import html
import re
import time

SMILEYS = {":)": "🙂", ":(": "🙁"}


def clock(seconds):
    return time.strftime("%H:%M", time.gmtime(seconds))


def smileys(text):
    for signs, picture in SMILEYS.items():
        text = text.replace(signs, picture)
    return text


def message(author, text, when=0):
    """Return the paragraph for one message, in which b, i and em work as tags and all else is text."""
    pattern = r"&lt;(/?(?:b|i|em))\s*?&gt;"
    body = re.sub(pattern, r"<\1>", html.escape(smileys(text)))
    return f"<p><time>{clock(when)}</time> <strong>{html.escape(author)}</strong>: {body}</p>"


def history(messages):
    return "".join(message(*entry) for entry in sorted(messages, key=lambda entry: entry[2]))

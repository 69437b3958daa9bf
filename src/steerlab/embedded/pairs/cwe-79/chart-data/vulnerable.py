"""Puts the numbers of a survey into the page for the chart script."""
import html
import json

MARKS = "<>&"


def share(points):
    total = sum(points.values()) or 1
    return {label: round(100 * value / total, 1) for label, value in points.items()}


def caption(title, points):
    return f"<figcaption>{html.escape(title)} ({len(points)} answers)</figcaption>"


def embed(points):
    """Return the script element that hands the shares of the points to the chart as chartData."""
    text = json.dumps(share(points), ensure_ascii=False)
    text = text.replace("</script>", "<\\/script>")
    return f"<script>const chartData = {text};</script>"


def figure(title, points):
    return f'<figure><canvas id="chart"></canvas>{embed(points)}{caption(title, points)}</figure>'

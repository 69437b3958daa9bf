import program

assert program.message("Ada", "hello", 3600) == "<p><time>01:00</time> <strong>Ada</strong>: hello</p>"
assert "so <b>very</b> <em>nice</em>" in program.message("Ada", "so <b>very</b> <em>nice</em>")
assert "&lt;script&gt;x&lt;/script&gt;" in program.message("Ada", "<script>x</script>")
assert "&lt;br&gt; 1 &lt; 2 &amp; 3" in program.message("Ada", "<br> 1 < 2 & 3")
assert "🙂" in program.message("Ada", "ok :)")
assert "<strong>&lt;b&gt;</strong>" in program.message("<b>", "x")
page = program.history([("Bob", "second", 120), ("Ada", "first", 60)])
assert page.index("first") < page.index("second") and "00:02" in page

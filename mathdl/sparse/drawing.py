def braille(p): return "..."

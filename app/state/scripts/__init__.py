"""The Lua scripts, one a file; `app.state.scripting` loads them."""

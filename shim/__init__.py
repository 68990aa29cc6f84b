"""The stand-in for ffmpeg and ffprobe. Standard library and app.wire only; measured in milliseconds."""

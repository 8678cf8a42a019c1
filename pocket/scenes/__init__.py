"""What the pocket world shows: drawn scenes, their captions and prompts."""

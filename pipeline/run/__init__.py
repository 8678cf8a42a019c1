"""What every run needs: its folder, its Beam jobs, its progress, and how it is interrupted."""

"""What every run needs: its folder, its Beam jobs, its progress, and how it is interrupted.

Others use ``folder.RunFolder``, ``jobs.Launcher``, ``progress.Reporter``, ``checks.Check`` and ``quota``.
"""

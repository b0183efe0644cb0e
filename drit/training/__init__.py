"""Training: one loop that runs any method.

launch.py: new runs and resumed ones. start.py: weights of another run. checks.py: before the first iteration.
trainer.py: the loop. updates.py: gradients of one update. optimizers.py, schedule.py, ema.py: steps, learning rates,
moving average. memory.py, forecast.py: what it takes. samples.py: sample sheets. progress.py: the console.
interrupt.py: Ctrl-C, signals, time limits. watch/: looks and warnings.
"""

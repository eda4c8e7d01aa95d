"""The demo: from nothing to pictures whose style comes from a graph."""

from graphcond.demo.run import DemoReport, run_demo

__all__ = ["DemoReport", "run_demo"]

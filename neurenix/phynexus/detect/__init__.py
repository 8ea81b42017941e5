"""What this host has: its processor, its graphics adapters, its drivers, and the browser that it runs in.

Nothing heavy is imported here: adapters are asked in a process of their own (`adapter_process`), drivers are looked up
by their files, and a browser through Pyodide's `js`.
"""

from neurenix.phynexus.detect.adapters import usable_adapters
from neurenix.phynexus.detect.host import detect
from neurenix.phynexus.detect.reports import Adapter, Adapters, Browser, Driver, Host, Processor

__all__ = ["Adapter", "Adapters", "Browser", "Driver", "Host", "Processor", "detect", "usable_adapters"]

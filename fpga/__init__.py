"""The FPGA's side: sensing paths whose clocks stop when the context does not need them."""

"""The RTL: plain Verilog, one module a file."""

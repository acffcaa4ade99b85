"""The benches: cocotb tests of the RTL, run by `haltere fpga test`."""

// Glitch-free clock gate. A change of `enable` takes effect at the next rising edge of `clk`.
`default_nettype none

module carma_clock_gate (
    input  wire clk,
    input  wire reset,
    input  wire enable,
    output wire gated_clk
);

    // A synchronous reset needs edges, so the gate is open while reset is asserted.
    wire open = enable | reset;

`ifdef CARMA_XILINX
    BUFGCE buffer (
        .I (clk),
        .CE(open),
        .O (gated_clk)
    );
`else
    // Transparent only while the clock is low: `open` cannot cut or start a high phase.
    reg open_latch;

    // verilator lint_off LATCH
    // verilator lint_off COMBDLY
    always @* if (!clk) open_latch <= open;
    // verilator lint_on COMBDLY
    // verilator lint_on LATCH

    assign gated_clk = clk & open_latch;
`endif

endmodule

`default_nettype wire

// Always-on door of a sensing path: two sources of samples, and a count of every sample that does not go further.
`default_nettype none

module carma_intake #(
    parameter WIDTH = 48 // bits of a sample
) (
    input  wire             clk,
    input  wire             reset,
    input  wire             awake,
    input  wire             full,
    input  wire             drain, // one queued sample is thrown away because its path reloads

    input  wire [WIDTH-1:0] s_axis_tdata,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,
    input  wire             inject,
    input  wire [WIDTH-1:0] inject_data,

    output wire             push,
    output wire [WIDTH-1:0] push_data,
    output reg  [     23:0] dropped,
    output reg  [     23:0] overflows
);

    // A sensor cannot be stalled, so ready is low only for the one cycle in which software injects.
    assign s_axis_tready = !inject && !reset;

    wire offered = (inject || s_axis_tvalid) && !reset;

    assign push = offered && awake && !full;
    assign push_data = inject ? inject_data : s_axis_tdata;

    always @(posedge clk) begin
        if (reset) begin
            dropped   <= 0;
            overflows <= 0;
        end else begin
            dropped   <= dropped + {23'd0, offered && !awake} + {23'd0, drain};
            overflows <= overflows + {23'd0, offered && awake && full};
        end
    end

endmodule

`default_nettype wire

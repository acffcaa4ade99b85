// 64-bit event counter. Reading the low word takes a copy of the high word, so that the pair belongs together.
`default_nettype none

module carma_counter (
    input  wire        clk,
    input  wire        reset,
    input  wire        event_now,
    input  wire        read_low,
    output wire [31:0] low,
    output reg  [31:0] high_copy
);

    reg [63:0] count;

    assign low = count[31:0];

    always @(posedge clk) begin
        if (reset) begin
            count <= 0;
            high_copy <= 0;
        end else begin
            if (event_now) count <= count + 64'd1;
            if (read_low) high_copy <= count[63:32];
        end
    end

endmodule

`default_nettype wire

// The fused state of the last 128 ticks: one write and one registered read a cycle.
`default_nettype none

module carma_history (
    input  wire        clk,
    input  wire        write,
    input  wire [ 9:0] write_address,
    input  wire [31:0] write_data,
    input  wire [ 9:0] read_address,
    output reg  [31:0] read_data
);

    reg [31:0] words[0:1023];

    always @(posedge clk) begin
        if (write) words[write_address] <= write_data;
        read_data <= words[read_address];
    end

endmodule

`default_nettype wire

// Configuration words: written and read back by the bus, read at once by the engine beside it. Reset keeps them.
`default_nettype none

module carma_memory #(
    parameter WIDTH = 32,     // bits of a word
    parameter DEPTH_LOG2 = 6  // two to this power is the number of words
) (
    input  wire                  clk,
    input  wire                  write,
    input  wire [DEPTH_LOG2-1:0] address,
    input  wire [     WIDTH-1:0] write_data,
    output wire [     WIDTH-1:0] read_data,
    input  wire [DEPTH_LOG2-1:0] engine_address,
    output wire [     WIDTH-1:0] engine_data
);

    reg [WIDTH-1:0] words[0:(1 << DEPTH_LOG2) - 1];

    integer index;
    initial for (index = 0; index < (1 << DEPTH_LOG2); index = index + 1) words[index] = 0;

    assign read_data = words[address];
    assign engine_data = words[engine_address];

    always @(posedge clk) if (write) words[address] <= write_data;

endmodule

`default_nettype wire

// Words that the bus writes and an engine beside it reads. Reset keeps them.
`default_nettype none

module carma_memory #(
    parameter WIDTH      = 32, // bits of a word
    parameter DEPTH_LOG2 = 6,  // two to this power is the number of words
    parameter REGISTERED = 0   // 1: a block RAM, whose word comes a cycle later; 0: look-up tables, read at once
) (
    input  wire                  clk,
    input  wire                  write,
    input  wire [DEPTH_LOG2-1:0] write_address,
    input  wire [     WIDTH-1:0] write_data,
    input  wire [DEPTH_LOG2-1:0] read_address,
    output wire [     WIDTH-1:0] read_data
);

    integer index;

    generate
        if (REGISTERED != 0) begin : block
            (* ram_style = "block" *)
            reg [WIDTH-1:0] words[0:(1 << DEPTH_LOG2) - 1];
            reg [WIDTH-1:0] word;
            initial for (index = 0; index < (1 << DEPTH_LOG2); index = index + 1) words[index] = 0;
            always @(posedge clk) begin
                if (write) words[write_address] <= write_data;
                word <= words[read_address];
            end
            assign read_data = word;
        end else begin : distributed
            (* ram_style = "distributed" *)
            reg [WIDTH-1:0] words[0:(1 << DEPTH_LOG2) - 1];
            initial for (index = 0; index < (1 << DEPTH_LOG2); index = index + 1) words[index] = 0;
            always @(posedge clk) if (write) words[write_address] <= write_data;
            assign read_data = words[read_address];
        end
    endgenerate

endmodule

`default_nettype wire

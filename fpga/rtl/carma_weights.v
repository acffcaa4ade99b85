// The classifier's 1024 weights, four to a word: the bus writes and reads back, the classifier reads bytes.
`default_nettype none

module carma_weights (
    input  wire        clk,
    input  wire        write,
    input  wire [ 7:0] address,
    input  wire [31:0] write_data,
    output reg  [31:0] read_data,
    input  wire [ 9:0] byte_address,
    output reg  [ 7:0] byte_data
);

    reg [31:0] words[0:255];
    reg [31:0] word;
    reg [ 1:0] lane;

    integer index;
    initial for (index = 0; index < 256; index = index + 1) words[index] = 0;

    always @(posedge clk) begin
        if (write) words[address] <= write_data;
        read_data <= words[address];
    end

    always @(posedge clk) begin
        word <= words[byte_address[9:2]];
        lane <= byte_address[1:0];
    end

    always @* byte_data = word[lane*8+:8];

endmodule

`default_nettype wire

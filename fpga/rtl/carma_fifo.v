// First-word-fall-through queue of samples, one clock. Pushing while full or popping while empty is the caller's error.
`default_nettype none

module carma_fifo #(
    parameter WIDTH = 48,    // bits of a word
    parameter DEPTH_LOG2 = 3 // two to this power is the number of words
) (
    input  wire                  clk,
    input  wire                  reset,
    input  wire                  push,
    input  wire [     WIDTH-1:0] push_data,
    input  wire                  pop,
    output wire [     WIDTH-1:0] head,
    output wire [DEPTH_LOG2:0]   level,
    output wire                  full
);

    reg [WIDTH-1:0] words[0:(1 << DEPTH_LOG2) - 1];
    reg [DEPTH_LOG2:0] write_reg;
    reg [DEPTH_LOG2:0] read_reg;

    assign level = write_reg - read_reg;
    assign full = level[DEPTH_LOG2];
    assign head = words[read_reg[DEPTH_LOG2-1:0]];

    always @(posedge clk) begin
        if (push) words[write_reg[DEPTH_LOG2-1:0]] <= push_data;
    end

    always @(posedge clk) begin
        if (reset) begin
            write_reg <= 0;
            read_reg  <= 0;
        end else begin
            if (push) write_reg <= write_reg + 1'b1;
            if (pop) read_reg <= read_reg + 1'b1;
        end
    end

endmodule

`default_nettype wire

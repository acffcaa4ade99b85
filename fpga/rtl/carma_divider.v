// Signed numerator over unsigned denominator, truncated towards zero, one bit a cycle. The quotient must fit in
// 33 bits and its sign, which holds for a weighted mean of 33-bit differences.
`default_nettype none

module carma_divider (
    input  wire               clk,
    input  wire               reset,
    input  wire               start,
    input  wire signed [52:0] numerator,
    input  wire        [18:0] denominator, // not zero
    output wire               busy,
    output reg                negative,
    output wire        [32:0] magnitude    // of the quotient
);

    reg [5:0] remaining;
    reg [18:0] divisor;
    reg [18:0] remainder; // always less than the divisor
    reg [32:0] bits;

    wire [51:0] unsigned_numerator = (numerator[51:0] ^ {52{numerator[52]}}) + {51'd0, numerator[52]};
    wire [19:0] shifted = {remainder, bits[32]};
    wire fits = shifted >= {1'b0, divisor};
    wire [18:0] reduced = shifted[18:0] - divisor;

    assign busy = remaining != 0;
    assign magnitude = bits;

    always @(posedge clk) begin
        if (reset) begin
            remaining <= 0;
            negative <= 0;
            divisor <= 0;
            remainder <= 0;
            bits <= 0;
        end else if (start) begin
            remaining <= 6'd33;
            negative <= numerator[52];
            divisor <= denominator;
            remainder <= unsigned_numerator[51:33];
            bits <= unsigned_numerator[32:0];
        end else if (busy) begin
            remaining <= remaining - 6'd1;
            remainder <= fits ? reduced : shifted[18:0];
            bits <= {bits[31:0], fits};
        end
    end

endmodule

`default_nettype wire

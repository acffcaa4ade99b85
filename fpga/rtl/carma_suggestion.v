// From classes to a suggested set of paths. A class must win several times running; an unsure answer asks for
// every path at once.
`default_nettype none

module carma_suggestion (
    input  wire        clk,
    input  wire        reset,
    input  wire        classified,
    input  wire [ 3:0] best,
    input  wire [31:0] margin,
    input  wire [31:0] margin_min,
    input  wire [ 7:0] hysteresis, // wins that a class needs
    input  wire [79:0] masks,      // 5 bits a class: the paths that it needs
    output reg         known,
    output reg  [ 3:0] context_,
    output reg  [ 4:0] suggestion
);

    reg [3:0] candidate;
    reg [7:0] wins;

    wire [7:0] wins_next = best != candidate ? 8'd1 : wins == 8'hff ? wins : wins + 8'd1;

    always @(posedge clk) begin
        if (reset) begin
            known <= 1'b0;
            context_ <= 0;
            suggestion <= 5'b11111;
            candidate <= 0;
            wins <= 0;
        end else if (classified) begin
            if (margin < margin_min) begin
                known <= 1'b0;
                suggestion <= 5'b11111;
                wins <= 0;
            end else begin
                candidate <= best;
                wins <= wins_next;
                if (wins_next >= hysteresis) begin
                    known <= 1'b1;
                    context_ <= best;
                    suggestion <= masks[best*5+:5];
                end
            end
        end
    end

endmodule

`default_nettype wire

// int8 context classifier, 16 features - 32 hidden units (ReLU) - 16 classes, one multiplication a cycle.
`default_nettype none

module carma_classifier (
    input  wire               clk,
    input  wire               reset,
    input  wire               start,
    output wire               busy,
    output reg                done,           // one cycle, with `best` and `margin`
    output reg         [ 3:0] best,           // class of the greatest score; of equals the lowest
    output reg         [31:0] margin,         // greatest score minus the second greatest

    input  wire       [127:0] features,       // int8, feature 0 in the low byte; constant while busy
    input  wire        [15:0] multiplier,     // hidden unit = min(127, ReLU(sum) * multiplier / 2^shift)
    input  wire        [ 4:0] shift,
    output wire        [ 5:0] bias_address,   // 0..31 hidden units, 32..47 classes
    input  wire signed [23:0] bias,
    output wire        [ 9:0] weight_address, // unit by unit, the hidden layer first
    input  wire signed [ 7:0] weight          // one cycle later
);

    localparam [2:0] IDLE = 0, BIAS = 1, MULTIPLY = 2, SCALE = 3, SHIFT = 4, STORE = 5, COMPARE = 6, FINISH = 7;

    reg [2:0] state;
    reg layer;
    reg [4:0] unit;
    reg [4:0] index;
    reg [9:0] next_weight;
    reg signed [25:0] sum;
    reg signed [25:0] greatest;
    reg signed [25:0] second;
    reg [42:0] scaled;
    reg [4:0] shifts;
    reg [7:0] hidden[0:31];

    wire signed [7:0] input_value = layer ? hidden[index] : features[index[3:0]*8+:8];
    wire signed [15:0] product = input_value * weight;
    wire last = layer ? index == 5'd31 : index == 5'd15;
    wire [24:0] positive = sum[25] ? 25'd0 : sum[24:0];
    // The sum is not negative here. A bit more than asked for is kept, to round half upwards.
    wire [7:0] rounded = |scaled[42:8] ? 8'd127 : {1'b0, scaled[7:1]} + {7'd0, scaled[0]};

    assign busy = state != IDLE;
    assign bias_address = {layer, unit};
    assign weight_address = state == MULTIPLY ? next_weight + 10'd1 : next_weight;

    always @(posedge clk) begin
        done <= 1'b0;
        if (reset) begin
            state <= IDLE;
            layer <= 0;
            unit <= 0;
            index <= 0;
            next_weight <= 0;
            sum <= 0;
            greatest <= 0;
            second <= 0;
            scaled <= 0;
            shifts <= 0;
            best <= 0;
            margin <= 0;
        end else begin
            case (state)
                IDLE: begin
                    layer <= 1'b0;
                    unit <= 0;
                    next_weight <= 0;
                    greatest <= 26'sh2000000;
                    second <= 26'sh2000000;
                    if (start) state <= BIAS;
                end
                BIAS: begin
                    sum <= {{2{bias[23]}}, bias};
                    index <= 0;
                    state <= MULTIPLY;
                end
                MULTIPLY: begin
                    sum <= sum + {{10{product[15]}}, product};
                    index <= index + 5'd1;
                    next_weight <= next_weight + 10'd1;
                    if (last) state <= layer ? COMPARE : SCALE;
                end
                SCALE: begin
                    scaled <= {{17'd0, positive} * {26'd0, multiplier}, 1'b0};
                    shifts <= shift;
                    state <= SHIFT;
                end
                SHIFT:
                if (shifts == 0) state <= STORE;
                else begin
                    scaled <= {1'b0, scaled[42:1]};
                    shifts <= shifts - 5'd1;
                end
                STORE: begin
                    hidden[unit] <= rounded[7] ? 8'd127 : rounded;
                    unit <= unit + 5'd1;
                    layer <= unit == 5'd31;
                    state <= BIAS;
                end
                COMPARE: begin
                    if (sum > greatest) begin
                        best <= unit[3:0];
                        greatest <= sum;
                        second <= greatest;
                    end else if (sum > second) second <= sum;
                    unit <= unit + 5'd1;
                    state <= unit == 5'd15 ? FINISH : BIAS;
                end
                default: begin
                    margin <= {{6{greatest[25]}}, greatest} - {{6{second[25]}}, second};
                    done <= 1'b1;
                    state <= IDLE;
                end
            endcase
        end
    end

endmodule

`default_nettype wire

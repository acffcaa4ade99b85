// Fixed-point helpers, included inside a module. Words are Q12.20 in 32 bits unless said otherwise.

// Clamps to 32 bits.
function signed [31:0] saturate;
    input signed [63:0] value;
    begin
        if (value > 64'sd2147483647) saturate = 32'sh7fffffff;
        else if (value < -64'sd2147483648) saturate = 32'sh80000000;
        else saturate = value[31:0];
    end
endfunction

// Arithmetic right shift that rounds half upwards.
function signed [63:0] round_shift;
    input signed [63:0] value;
    input [5:0] bits;
    begin
        round_shift = (value + ((64'sd1 <<< bits) >>> 1)) >>> bits;
    end
endfunction

// Sign-extends a word, for sums that must not wrap.
function signed [63:0] widen;
    input signed [31:0] value;
    begin
        widen = {{32{value[31]}}, value};
    end
endfunction

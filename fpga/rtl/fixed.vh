// Fixed-point helpers, included inside a module. Words are Q12.20 in 32 bits unless said otherwise.

// Clamps to 32 bits. The bits above the sign all agree with it, or the value does not fit.
function signed [31:0] saturate;
    input signed [47:0] value;
    begin
        if (&value[47:31] || !(|value[47:31])) saturate = value[31:0];
        else saturate = {value[47], {31{!value[47]}}};
    end
endfunction

// Sign-extends a word, for sums that must not wrap.
function signed [47:0] widen;
    input signed [31:0] value;
    begin
        widen = {{16{value[31]}}, value};
    end
endfunction

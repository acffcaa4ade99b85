// Five sensing paths, four of them behind clock gates; an always-on fuser, classifier, governor and register file.
`default_nettype none

module carma_top (
    input  wire         s_axi_aclk,
    input  wire         s_axi_aresetn,

    input  wire [ 12:0] s_axil_awaddr,
    input  wire [  2:0] s_axil_awprot,
    input  wire         s_axil_awvalid,
    output wire         s_axil_awready,
    input  wire [ 31:0] s_axil_wdata,
    input  wire [  3:0] s_axil_wstrb,
    input  wire         s_axil_wvalid,
    output wire         s_axil_wready,
    output wire [  1:0] s_axil_bresp,
    output wire         s_axil_bvalid,
    input  wire         s_axil_bready,
    input  wire [ 12:0] s_axil_araddr,
    input  wire [  2:0] s_axil_arprot,
    input  wire         s_axil_arvalid,
    output wire         s_axil_arready,
    output wire [ 31:0] s_axil_rdata,
    output wire [  1:0] s_axil_rresp,
    output wire         s_axil_rvalid,
    input  wire         s_axil_rready,

    // Levelled acceleration x, y, z.
    input  wire [ 47:0] s_axis_imu_tdata,
    input  wire         s_axis_imu_tvalid,
    output wire         s_axis_imu_tready,
    // Angular rates of the flow x, y; time-of-flight range.
    input  wire [ 47:0] s_axis_flow_tdata,
    input  wire         s_axis_flow_tvalid,
    output wire         s_axis_flow_tready,
    // Eight ranges of the ring.
    input  wire [127:0] s_axis_lidar_tdata,
    input  wire         s_axis_lidar_tvalid,
    output wire         s_axis_lidar_tready,
    // GPS x, y, z; barometric height.
    input  wire [ 63:0] s_axis_gps_tdata,
    input  wire         s_axis_gps_tvalid,
    output wire         s_axis_gps_tready,
    // Height.
    input  wire [ 15:0] s_axis_radar_tdata,
    input  wire         s_axis_radar_tvalid,
    output wire         s_axis_radar_tready
);

    wire clk = s_axi_aclk;
    wire bus_reset = !s_axi_aresetn;
    wire soft_reset;
    reg reset;
    // Registered, so that the gates' enable does not change with the clock.
    always @(posedge clk) reset <= bus_reset || soft_reset;

    wire [10:0] bus_address;
    wire bus_write, bus_read;
    wire [31:0] bus_write_data, bus_read_data;

    wire bias_write, fusion_write, weight_write;
    wire [4:0] path_write, path_read;
    wire [23:0] bias;
    wire [31:0] fusion_data, weight_read_data;
    wire [159:0] path_read_data;
    wire [119:0] switches;
    wire [5:0] bias_address, fusion_address;
    wire [9:0] weight_address;
    wire [7:0] weight;

    wire [4:0] gate, force_on, awake, woken, reload_asked, inject, busy, valid, usable, consistent, suggestion;
    wire [4:0] burst;
    wire [31:0] burst_ticks;
    wire [15:0] dwell, watchdog;
    wire heartbeat, expired, expire_now;
    wire [23:0] expiries, overruns;
    wire [31:0] tick_cycles, ticks;
    wire tick, tick_busy, start_imu, prepare, fuse, fuser_busy, start_paths, seed_asked;
    wire [95:0] seed_position, seed_velocity, position, velocity, velocity_step;
    wire [127:0] sample, features;
    wire classify, classifier_busy, classified, known;
    wire [20:0] requantise;
    wire [31:0] margin_min, margin;
    wire [7:0] hysteresis;
    wire [79:0] masks, age;
    wire [3:0] best, context_;
    wire [119:0] nis;
    wire [479:0] path_position, path_velocity;
    // verilator lint_off UNUSEDSIGNAL
    wire [479:0] displacement; // the IMU's, at index 0, has no meaning
    wire [4:0] gated_clk;      // for the bench and for activity counts
    // verilator lint_on UNUSEDSIGNAL

    // What was asked for before the tick is this tick's work.
    reg [4:0] reload_now;
    reg seed_now;
    always @(posedge clk) begin
        if (reset) begin
            reload_now <= 0;
            seed_now <= 1'b0;
        end else if (tick) begin
            reload_now <= reload_asked;
            seed_now <= seed_asked;
        end
    end
    wire [4:0] reload = reload_now | woken;

    carma_axil axil (
        .clk(clk),
        .reset(bus_reset),
        .s_axil_awaddr(s_axil_awaddr),
        .s_axil_awprot(s_axil_awprot),
        .s_axil_awvalid(s_axil_awvalid),
        .s_axil_awready(s_axil_awready),
        .s_axil_wdata(s_axil_wdata),
        .s_axil_wstrb(s_axil_wstrb),
        .s_axil_wvalid(s_axil_wvalid),
        .s_axil_wready(s_axil_wready),
        .s_axil_bresp(s_axil_bresp),
        .s_axil_bvalid(s_axil_bvalid),
        .s_axil_bready(s_axil_bready),
        .s_axil_araddr(s_axil_araddr),
        .s_axil_arprot(s_axil_arprot),
        .s_axil_arvalid(s_axil_arvalid),
        .s_axil_arready(s_axil_arready),
        .s_axil_rdata(s_axil_rdata),
        .s_axil_rresp(s_axil_rresp),
        .s_axil_rvalid(s_axil_rvalid),
        .s_axil_rready(s_axil_rready),
        .bus_address(bus_address),
        .bus_write(bus_write),
        .bus_write_data(bus_write_data),
        .bus_read(bus_read),
        .bus_read_data(bus_read_data)
    );

    carma_registers registers (
        .clk(clk),
        .reset(bus_reset),
        .soft_reset(soft_reset),
        .bus_address(bus_address),
        .bus_write(bus_write),
        .bus_read(bus_read),
        .bus_write_data(bus_write_data),
        .bus_read_data(bus_read_data),
        .bias_write(bias_write),
        .fusion_write(fusion_write),
        .weight_write(weight_write),
        .path_write(path_write),
        .path_read(path_read),
        .weight_read_data(weight_read_data),
        .path_read_data(path_read_data),
        .gate(gate),
        .force_on(force_on),
        .burst(burst),
        .burst_ticks(burst_ticks),
        .dwell(dwell),
        .watchdog(watchdog),
        .heartbeat(heartbeat),
        .awake(awake),
        .expired(expired),
        .expire_now(expire_now),
        .expiries(expiries),
        .tick_cycles(tick_cycles),
        .tick(tick),
        .tick_busy(tick_busy),
        .ticks(ticks),
        .overruns(overruns),
        .reload(reload_asked),
        .seed(seed_asked),
        .seed_position(seed_position),
        .seed_velocity(seed_velocity),
        .position(position),
        .velocity(velocity),
        .sample(sample),
        .inject(inject),
        .classify(classify),
        .classifier_busy(classifier_busy),
        .classified(classified),
        .features(features),
        .requantise(requantise),
        .margin_min(margin_min),
        .hysteresis(hysteresis),
        .masks(masks),
        .best(best),
        .margin(margin),
        .known(known),
        .context_(context_),
        .suggestion(suggestion)
    );

    carma_governor governor (
        .clk(clk),
        .reset(reset),
        .tick(tick),
        .gate(gate),
        .force_on(force_on),
        .burst(burst),
        .burst_on(burst_ticks[15:0]),
        .burst_period(burst_ticks[31:16]),
        .dwell(dwell),
        .watchdog(watchdog),
        .heartbeat(heartbeat),
        .awake(awake),
        .woken(woken),
        .expired(expired),
        .expire_now(expire_now),
        .expiries(expiries),
        .switches(switches)
    );

    carma_sequencer sequencer (
        .clk(clk),
        .reset(reset),
        .tick_cycles(tick_cycles),
        .tick(tick),
        .ticks(ticks),
        .overruns(overruns),
        .busy(tick_busy),
        .start_imu(start_imu),
        .imu_busy(busy[0]),
        .prepare(prepare),
        .fuse(fuse),
        .fuser_busy(fuser_busy),
        .start_paths(start_paths),
        .paths_busy(|(busy[4:1] & awake[4:1]))
    );

    carma_memory fusion (
        .clk(clk),
        .write(fusion_write),
        .write_address(bus_address[5:0]),
        .write_data(bus_write_data),
        .read_address(fusion_address),
        .read_data(fusion_data)
    );

    carma_fuser fuser (
        .clk(clk),
        .reset(reset),
        .prepare(prepare),
        .fuse(fuse),
        .busy(fuser_busy),
        .seed(seed_now),
        .seed_position(seed_position),
        .seed_velocity(seed_velocity),
        .acceleration(path_velocity[95:0]),
        .path_valid(valid),
        .path_awake(awake),
        .path_age(age),
        .path_nis(nis),
        .path_position(path_position),
        .path_velocity(path_velocity),
        .config_address(fusion_address),
        .config_data(fusion_data),
        .position(position),
        .velocity(velocity),
        .velocity_step(velocity_step),
        .displacement(displacement),
        .usable(usable),
        .consistent(consistent)
    );

    carma_memory #(
        .WIDTH(24)
    ) biases (
        .clk(clk),
        .write(bias_write),
        .write_address(bus_address[5:0]),
        .write_data(bus_write_data[23:0]),
        .read_address(bias_address),
        .read_data(bias)
    );

    carma_weights weights (
        .clk(clk),
        .write(weight_write),
        .address(bus_address[7:0]),
        .write_data(bus_write_data),
        .read_data(weight_read_data),
        .byte_address(weight_address),
        .byte_data(weight)
    );

    carma_classifier classifier (
        .clk(clk),
        .reset(reset),
        .start(classify),
        .busy(classifier_busy),
        .done(classified),
        .best(best),
        .margin(margin),
        .features(features),
        .multiplier(requantise[15:0]),
        .shift(requantise[20:16]),
        .bias_address(bias_address),
        .bias(bias),
        .weight_address(weight_address),
        .weight(weight)
    );

    carma_suggestion suggest (
        .clk(clk),
        .reset(reset),
        .classified(classified),
        .best(best),
        .margin(margin),
        .margin_min(margin_min),
        .hysteresis(hysteresis),
        .masks(masks),
        .known(known),
        .context_(context_),
        .suggestion(suggestion)
    );

    // The IMU never sleeps: everything else is predicted from it.
    carma_path #(
        .CHANNELS(3),
        .AXES(3),
        .FIRST(0),
        .VELOCITY(3'b111),
        .RATES(0),
        .PREDICT(0),
        .GATED(0)
    ) imu (
        .clk(clk),
        .reset(reset),
        .s_axis_tdata(s_axis_imu_tdata),
        .s_axis_tvalid(s_axis_imu_tvalid),
        .s_axis_tready(s_axis_imu_tready),
        .inject(inject[0]),
        .inject_data(sample[47:0]),
        .awake(awake[0]),
        .tick(tick),
        .start(start_imu),
        .reload(reload[0]),
        .busy(busy[0]),
        .seed_position(96'd0),
        .seed_velocity(96'd0),
        .velocity_step(96'd0),
        .displacement(96'd0),
        .state_position(path_position[0+:96]),
        .state_velocity(path_velocity[0+:96]),
        .valid(valid[0]),
        .age(age[0+:16]),
        .nis(nis[0+:24]),
        .gated_clk(gated_clk[0]),
        .bus_address(bus_address[6:0]),
        .bus_write(path_write[0]),
        .bus_read(path_read[0]),
        .bus_write_data(bus_write_data),
        .bus_read_data(path_read_data[0+:32]),
        .switches(switches[0+:24]),
        .usable(usable[0]),
        .consistent(consistent[0])
    );

    carma_path #(
        .CHANNELS(3),
        .AXES(3),
        .FIRST(0),
        .VELOCITY(3'b011),
        .RATES(1),
        .PREDICT(1),
        .GATED(1)
    ) flow (
        .clk(clk),
        .reset(reset),
        .s_axis_tdata(s_axis_flow_tdata),
        .s_axis_tvalid(s_axis_flow_tvalid),
        .s_axis_tready(s_axis_flow_tready),
        .inject(inject[1]),
        .inject_data(sample[47:0]),
        .awake(awake[1]),
        .tick(tick),
        .start(start_paths && awake[1]),
        .reload(reload[1]),
        .busy(busy[1]),
        .seed_position(position),
        .seed_velocity(velocity),
        .velocity_step(velocity_step),
        .displacement(displacement[96+:96]),
        .state_position(path_position[96+:96]),
        .state_velocity(path_velocity[96+:96]),
        .valid(valid[1]),
        .age(age[16+:16]),
        .nis(nis[24+:24]),
        .gated_clk(gated_clk[1]),
        .bus_address(bus_address[6:0]),
        .bus_write(path_write[1]),
        .bus_read(path_read[1]),
        .bus_write_data(bus_write_data),
        .bus_read_data(path_read_data[32+:32]),
        .switches(switches[24+:24]),
        .usable(usable[1]),
        .consistent(consistent[1])
    );

    carma_path #(
        .CHANNELS(8),
        .AXES(2),
        .FIRST(0),
        .VELOCITY(3'b000),
        .RATES(0),
        .PREDICT(1),
        .GATED(1)
    ) lidar (
        .clk(clk),
        .reset(reset),
        .s_axis_tdata(s_axis_lidar_tdata),
        .s_axis_tvalid(s_axis_lidar_tvalid),
        .s_axis_tready(s_axis_lidar_tready),
        .inject(inject[2]),
        .inject_data(sample[127:0]),
        .awake(awake[2]),
        .tick(tick),
        .start(start_paths && awake[2]),
        .reload(reload[2]),
        .busy(busy[2]),
        .seed_position(position),
        .seed_velocity(velocity),
        .velocity_step(velocity_step),
        .displacement(displacement[192+:96]),
        .state_position(path_position[192+:96]),
        .state_velocity(path_velocity[192+:96]),
        .valid(valid[2]),
        .age(age[32+:16]),
        .nis(nis[48+:24]),
        .gated_clk(gated_clk[2]),
        .bus_address(bus_address[6:0]),
        .bus_write(path_write[2]),
        .bus_read(path_read[2]),
        .bus_write_data(bus_write_data),
        .bus_read_data(path_read_data[64+:32]),
        .switches(switches[48+:24]),
        .usable(usable[2]),
        .consistent(consistent[2])
    );

    carma_path #(
        .CHANNELS(4),
        .AXES(3),
        .FIRST(0),
        .VELOCITY(3'b000),
        .RATES(0),
        .PREDICT(1),
        .GATED(1)
    ) gps (
        .clk(clk),
        .reset(reset),
        .s_axis_tdata(s_axis_gps_tdata),
        .s_axis_tvalid(s_axis_gps_tvalid),
        .s_axis_tready(s_axis_gps_tready),
        .inject(inject[3]),
        .inject_data(sample[63:0]),
        .awake(awake[3]),
        .tick(tick),
        .start(start_paths && awake[3]),
        .reload(reload[3]),
        .busy(busy[3]),
        .seed_position(position),
        .seed_velocity(velocity),
        .velocity_step(velocity_step),
        .displacement(displacement[288+:96]),
        .state_position(path_position[288+:96]),
        .state_velocity(path_velocity[288+:96]),
        .valid(valid[3]),
        .age(age[48+:16]),
        .nis(nis[72+:24]),
        .gated_clk(gated_clk[3]),
        .bus_address(bus_address[6:0]),
        .bus_write(path_write[3]),
        .bus_read(path_read[3]),
        .bus_write_data(bus_write_data),
        .bus_read_data(path_read_data[96+:32]),
        .switches(switches[72+:24]),
        .usable(usable[3]),
        .consistent(consistent[3])
    );

    carma_path #(
        .CHANNELS(1),
        .AXES(1),
        .FIRST(2),
        .VELOCITY(3'b000),
        .RATES(0),
        .PREDICT(1),
        .GATED(1)
    ) radar (
        .clk(clk),
        .reset(reset),
        .s_axis_tdata(s_axis_radar_tdata),
        .s_axis_tvalid(s_axis_radar_tvalid),
        .s_axis_tready(s_axis_radar_tready),
        .inject(inject[4]),
        .inject_data(sample[15:0]),
        .awake(awake[4]),
        .tick(tick),
        .start(start_paths && awake[4]),
        .reload(reload[4]),
        .busy(busy[4]),
        .seed_position(position),
        .seed_velocity(velocity),
        .velocity_step(velocity_step),
        .displacement(displacement[384+:96]),
        .state_position(path_position[384+:96]),
        .state_velocity(path_velocity[384+:96]),
        .valid(valid[4]),
        .age(age[64+:16]),
        .nis(nis[96+:24]),
        .gated_clk(gated_clk[4]),
        .bus_address(bus_address[6:0]),
        .bus_write(path_write[4]),
        .bus_read(path_read[4]),
        .bus_write_data(bus_write_data),
        .bus_read_data(path_read_data[128+:32]),
        .switches(switches[96+:24]),
        .usable(usable[4]),
        .consistent(consistent[4])
    );
endmodule

`default_nettype wire

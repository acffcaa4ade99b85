# Puts the packaged IP beside the processing system and writes .bit and .hwh, for PYNQ.
# NEVER RUN: written without Vivado at hand, after UG994 and UG908.
# Arguments: folder of the IP, folder of the build, part, board part or -, ps7 or ps8, clock in MHz, name.
lassign $argv ip folder part board ps mhz name

create_project $name $folder/project -part $part -force
if {$board ne "-"} {
    set_property board_part $board [current_project]
}
set_property ip_repo_paths $ip [current_project]
update_ip_catalog
create_bd_design $name

if {$ps eq "ps7"} {
    set cpu [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps]
    if {$board ne "-"} {
        apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
            -config {make_external "FIXED_IO, DDR" apply_board_preset "1"} $cpu
    }
    set_property -dict [list CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $mhz] $cpu
    set master ps/M_AXI_GP0
    set clock ps/FCLK_CLK0
    set resetn ps/FCLK_RESET0_N
} else {
    set cpu [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
    if {$board ne "-"} {
        apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset "1"} $cpu
    }
    set_property -dict [list CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \
        CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $mhz] $cpu
    set master ps/M_AXI_HPM0_FPD
    set clock ps/pl_clk0
    set resetn ps/pl_resetn0
}

create_bd_cell -type ip -vlnv haltere:user:carma_gate:1.0 carma_gate
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect smartconnect
set_property CONFIG.NUM_SI 1 [get_bd_cells smartconnect]
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset
connect_bd_net [get_bd_pins $clock] [get_bd_pins reset/slowest_sync_clk] [get_bd_pins smartconnect/aclk] \
    [get_bd_pins carma_gate/s_axi_aclk] [get_bd_pins ${master}_ACLK -quiet] [get_bd_pins ps/maxihpm0_fpd_aclk -quiet]
connect_bd_net [get_bd_pins $resetn] [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins smartconnect/aresetn] \
    [get_bd_pins carma_gate/s_axi_aresetn]
connect_bd_intf_net [get_bd_intf_pins $master] [get_bd_intf_pins smartconnect/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins smartconnect/M00_AXI] [get_bd_intf_pins carma_gate/s_axil]
# The sensors' streams are left open: software hands samples over through SAMPLE and PUSH. Who has a sensor in the
# fabric connects it here.
assign_bd_address
validate_bd_design
save_bd_design
make_wrapper -files [get_files $name.bd] -top -import

# The gated clocks are derived from one and are timed together. On UltraScale+ their delays are matched as a group; a
# 7-series device has no such property.
set constraints [open $folder/clocks.xdc w]
if {$ps eq "ps8"} {
    puts $constraints {set_property CLOCK_DELAY_GROUP carma [get_nets -of_objects [get_pins -hierarchical -filter {REF_NAME == BUFGCE && REF_PIN_NAME == O}]]}
}
close $constraints
add_files -fileset constrs_1 $folder/clocks.xdc
set_property used_in_synthesis false [get_files $folder/clocks.xdc]

launch_runs impl_1 -to_step write_bitstream -jobs 2
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
    error "implementation has failed: see $folder/project"
}
open_run impl_1
if {[get_property SLACK [get_timing_paths]] < 0} {
    error "timing is not met at $mhz MHz: ask for a slower clock"
}
report_utilization -file $folder/utilization.txt
report_timing_summary -file $folder/timing.txt
report_power -file $folder/power.txt
set run [get_property DIRECTORY [get_runs impl_1]]
file copy -force [glob $run/*.bit] $folder/$name.bit
file copy -force [glob $folder/project/$name.gen/sources_1/bd/$name/hw_handoff/$name.hwh] $folder/$name.hwh

# Packages the design as IP haltere:user:carma_gate:1.0, with its registers, so that the .hwh carries them.
# NEVER RUN: written without Vivado at hand, after UG1118. Arguments: folder of the RTL, folder of the IP, part.
lassign $argv rtl ip part

create_project -in_memory -part $part
add_files [glob $rtl/*.v]
set headers [glob $rtl/*.vh]
add_files $headers
set_property file_type {Verilog Header} [get_files $headers]
set_property include_dirs $rtl [current_fileset]
set_property verilog_define CARMA_XILINX [current_fileset]
set_property top carma_top [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $ip -vendor haltere -library user -taxonomy /UserIP -import_files -set_current true
set core [ipx::current_core]
set_property name carma_gate $core
set_property version 1.0 $core
set_property display_name {Gated sensing paths} $core
set_property supported_families {zynq Production zynquplus Production} $core
set_property previous_version_for_upgrade {} $core

# The bus and the sensors' streams have the prefixes that Vivado knows; all are on one clock.
foreach bus [ipx::get_bus_interfaces -of_objects $core] {
    set name [get_property name $bus]
    if {[string match s_axil* $name] || [string match s_axis_* $name]} {
        ipx::associate_bus_interfaces -busif $name -clock s_axi_aclk $core
    }
}

set map [ipx::get_memory_maps s_axil -of_objects $core]
if {$map eq ""} {
    set map [ipx::add_memory_map s_axil $core]
    set_property slave_memory_map_ref s_axil [ipx::get_bus_interfaces s_axil -of_objects $core]
}
set block [ipx::get_address_blocks -of_objects $map]
if {$block eq ""} {
    set block [ipx::add_address_block reg0 $map]
}
set_property usage register $block
set_property range 8192 $block
set_property width 32 $block
# One line a register: name, offset, access, description. `haltere fpga build` writes the file.
set file [open [file join $ip registers.tsv]]
while {[gets $file line] >= 0} {
    lassign [split $line "\t"] name offset access text
    set register [ipx::add_register $name $block]
    set_property address_offset $offset $register
    set_property size 32 $register
    set_property access $access $register
    set_property description $text $register
}
close $file

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core

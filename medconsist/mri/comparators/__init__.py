"""Networks that CIRIM is compared with: U-Net, CascadeNet, KIKI-net, LPD-net and E2E-VarNet."""

// Ext2Format

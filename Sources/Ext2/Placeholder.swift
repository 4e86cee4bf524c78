// Ext2

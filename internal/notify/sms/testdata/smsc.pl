#!/usr/bin/perl
# An SMS centre made of somebody else's SMPP, Net::SMPP (Debian: libnet-smpp-perl), and somebody else's GSM 03.38,
# Encode::GSM0338. It prints its port, then what it understood of each message, one per line, fields apart by a tab:
#   source ton, npi, address; destination ton, npi, address; esm_class; data_coding; reference, parts, number; text as hex of UTF-8
use strict;
use warnings;
use Encode qw(decode encode);
use Net::SMPP;

my ($system_id, $password) = @ARGV;
$| = 1;
my $centre = Net::SMPP->new_listen('127.0.0.1', port => 0, smpp_version => 0x34, interface_version => 0x34) or die "listen: $!";
print $centre->sockport, "\n";
my $client = $centre->accept or die "accept: $!";
my $id = 0;
while (my $pdu = $client->read_pdu) {
    my $cmd = $pdu->{cmd};
    if ($cmd == Net::SMPP::CMD_bind_transceiver) {
        my $known = $pdu->{system_id} eq $system_id && $pdu->{password} eq $password && $pdu->{interface_version} == 0x34;
        $client->bind_transceiver_resp(seq => $pdu->{seq}, system_id => 'centre', status => $known ? 0 : 0x0e);
        # Ask and tell at once, without waiting for what comes back.
        $client->enquire_link(async => 1);
        $client->deliver_sm(async => 1, source_addr => '46701234567', destination_addr => '12345', short_message => 'STOP');
    } elsif ($cmd == Net::SMPP::CMD_submit_sm) {
        my ($message, @header) = ($pdu->{short_message}, 0, 1, 1);
        if ($pdu->{esm_class} & 0x40) {
            my $length = unpack 'C', $message;
            my (undef, $element, $size, @concatenation) = unpack 'C6', $message;
            die "header" unless $length == 5 && $element == 0 && $size == 3;
            @header = @concatenation;
            $message = substr $message, 1 + $length;
        }
        my $text = decode($pdu->{data_coding} == 8 ? 'UTF-16BE' : 'gsm0338', $message, Encode::FB_CROAK);
        print join("\t", (map { $pdu->{$_} } qw(source_addr_ton source_addr_npi source_addr dest_addr_ton dest_addr_npi destination_addr
            esm_class data_coding)), @header, unpack('H*', encode('UTF-8', $text))), "\n";
        my %answer = (seq => $pdu->{seq}, message_id => ++$id);
        $answer{status} = 0x0b if $pdu->{destination_addr} =~ /00001$/;
        $answer{status} = 0x58 if $pdu->{destination_addr} =~ /00058$/;
        $client->submit_sm_resp(%answer);
    } elsif ($cmd == Net::SMPP::CMD_enquire_link) {
        $client->enquire_link_resp(seq => $pdu->{seq});
    } elsif ($cmd == Net::SMPP::CMD_enquire_link_resp || $cmd == Net::SMPP::CMD_deliver_sm_resp) {
        printf "answered\t%x\t%d\n", $cmd, $pdu->{status};
    } else {
        printf "unexpected\t%x\n", $cmd;
    }
}
